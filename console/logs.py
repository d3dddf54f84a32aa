"""Logs a refused request in one line with the account and address, instead of a traceback without them."""

import logging

from django.http import HttpRequest

from adminkit.address import client_address

SERVER_ERROR = 500


class RefusalInOneLine(logging.Filter):
    """Remove the traceback from Django's log record of a refused request, and add account and address."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record and keep it."""
        request = getattr(record, "request", None)
        is_refusal = getattr(record, "status_code", SERVER_ERROR) < SERVER_ERROR
        # Each handler filters the same record.
        if isinstance(request, HttpRequest) and is_refusal and not hasattr(record, "account"):
            user = getattr(request, "user", None)
            account = user.get_username() if user is not None and user.is_authenticated else "nobody"
            record.account = account
            record.exc_info = record.exc_text = None
            address = client_address(request)
            said = record.getMessage()
            record.msg = "%s (%s; account %r, address %s)"
            record.args = (said, request.method, account, address)
        return True
