from tests.kit.factories import *  # noqa: F403 - until every test imports the kit
