"""What a cell of a CSV file must look like so that a spreadsheet opens it whole, and takes no text for a formula.

Excel's limits: https://support.microsoft.com/office/1672b34d-7043-467e-8e27-269d656771c3; attacks by cells:
https://owasp.org/www-community/attacks/CSV_Injection.
"""

import re
from typing import Final

# Excel reads UTF-8 only behind this mark; without it Chinese becomes rubbish.
BYTE_ORDER_MARK: Final = "\ufeff"
# In units of UTF-16: an emoji counts twice.
CELL_MAX: Final = 32_767
# An apostrophe in front makes a text of what begins like this; East Asian versions read full-width signs as signs.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # meant
# What no workbook can hold (XML 1.0): Excel "repairs" the file, or stops reading there.
_REFUSED: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
# Inside a cell a line ends with LF; a CR is shown as _x000D_.
_LINE_END: Final = re.compile("\r\n?")


def spreadsheet_text(text: str) -> tuple[str, bool]:
    """Return the text as a spreadsheet takes it, and whether it had to be cut."""
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
    # Half an emoji at the end is left out.
    return text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", errors="ignore")
