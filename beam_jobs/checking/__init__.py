"""What `tuneset check` asks for, which files it reads, and how it tells what was found."""
