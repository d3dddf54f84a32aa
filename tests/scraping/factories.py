from tests.kit.scraped import *  # noqa: F403 - until every test imports the kit
