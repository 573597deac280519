"""One screen per file: read, make a view model, draw. Files with an underscore are parts of screens."""
