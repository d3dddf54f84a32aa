"""The ways to tell somebody: mail, signed requests to a web address, and messages in a chat."""
