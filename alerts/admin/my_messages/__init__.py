"""The page "Messages to me": how they are written, and when they may wait; one file for each of its forms."""
