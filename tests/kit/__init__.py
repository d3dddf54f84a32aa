"""What tests are written with: the least valid row of each model, what Reddit answers, and the steps of a test."""
