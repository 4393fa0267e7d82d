"""Records drawn and written for people: terminal, Markdown, JUnit, pages and pictures."""
