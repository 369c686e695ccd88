"""Pages made of the commands themselves: for the site in docs/ (Markdown) and for ``man`` (roff).

Nothing here is written by hand twice: sentences, options, defaults and examples come from the parser, as ``--help`` has
them, so a page cannot say anything else.
"""
