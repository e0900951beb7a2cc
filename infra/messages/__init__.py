"""What crosses the wire: events, commands and their answers, with their headers and encodings."""
