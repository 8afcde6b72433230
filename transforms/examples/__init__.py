"""What an example is: Gemini's rules, recipes of rows, pieces, tokens, splits. No Beam, no files."""
