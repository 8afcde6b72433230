"""Images that rows name by URL, read over http and https from servers of other people."""
