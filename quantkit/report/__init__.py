"""Records drawn and written for people; what they hold is in `quantkit.records`.

By medium: `terminal`, `junit`, `markdown`, `figures` (matplotlib) and `pages` (jinja2). What all of them share is
text: numbers (`digits`), names of groups (`groups`), phrases (`words`) and the two tables of a comparison
(`tables`). Nothing here runs a model. matplotlib and jinja2 are the extra `report`, and are imported when something
is drawn.
"""
