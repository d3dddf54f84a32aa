from tests.kit.waiting import wait_until as wait_until
