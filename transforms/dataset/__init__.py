"""What is written: the parts of blocks, receipts, the claim, the seal's plan, segments and their joining."""
