"""Own documents: from a file to passages that researchers find and cite."""
