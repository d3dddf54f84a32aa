"""Makes texts safe for CSV cells, so that a spreadsheet opens them whole and reads none as a formula.

Excel's limits: https://support.microsoft.com/office/1672b34d-7043-467e-8e27-269d656771c3; CSV injection:
https://owasp.org/www-community/attacks/CSV_Injection.
"""

import re
from typing import Final

# Excel reads a file as UTF-8 only if it begins with this mark; otherwise Chinese is garbled.
BYTE_ORDER_MARK: Final = "\ufeff"
# In UTF-16 code units: an emoji counts twice.
CELL_MAX: Final = 32_767
# A cell that begins like this needs an apostrophe in front to be text; East Asian versions accept full-width signs.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # meant
# Characters that no workbook can hold (XML 1.0): Excel "repairs" the file, or stops reading there.
_REFUSED: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
# Inside a cell a line ends with LF; Excel shows a CR as _x000D_.
_LINE_END: Final = re.compile("\r\n?")


def spreadsheet_text(text: str) -> tuple[str, bool]:
    """Return the text in a form safe for a spreadsheet, and whether it had to be cut."""
    text = _REFUSED.sub("", text)
    if text.startswith(_FORMULA_STARTS):
        text = f"'{text}"
    text = _LINE_END.sub("\n", text)
    if _units(text) <= CELL_MAX:
        return text, False
    mark = f" … [cut: {len(text):,} characters]"
    return _first_units(text, CELL_MAX - len(mark)) + mark, True


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def _first_units(text: str, units: int) -> str:
    # Half of an emoji at the end is dropped.
    return text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", errors="ignore")
