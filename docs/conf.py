"""How Sphinx builds the site of what ``docs/assemble.py`` puts together; ``make docs`` runs both."""

from difyops import __version__

project = "difyops"
version = release = __version__
project_copyright = "The difyops authors"
extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4
root_doc = "index"
smartquotes = False  # two dashes are the beginning of an option
nitpicky = True
html_theme = "furo"
html_title = f"difyops {__version__}"
html_static_path = ["_static"]
html_css_files = ["difyops.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b6e5f", "color-brand-content": "#0b6e5f"},
    "dark_css_variables": {"color-brand-primary": "#4fc3ae", "color-brand-content": "#4fc3ae"},
}
