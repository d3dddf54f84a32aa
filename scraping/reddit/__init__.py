"""Reddit's API: the client, its answers, what a listing and a walk through comments ask for."""
