"""Putting a document live over somebody's draft: provably, reversibly, and without losing what others save meanwhile.

Only a draft can be published, publishing takes no hash, and its answer names no version. So:

1. A version is ours by the change id in its comment, then by its id. Never because it means the same.
2. A draft is ours only while it is exactly what we wrote, variables included. Any other one is somebody's: it is kept
   before it is replaced, and put back exactly, or left where it is and the older one kept by name.
3. Going back touches only what is still ours.
4. After each publication the version is read back. A save that slipped in is kept by name, and the target is published
   again, three times at most.

    content      a draft or version with its variables in clear, and whether two are the same
    publication  workflow and chatflow: park, write, publish, read back, put back, take back
    agent        agent apps: the same with their soul, where the server has no lock
    config       chat, agent and completion apps: one model config, live at once, no versions
    writing      the calls that write drafts and publish them: nobody else makes them
    slots        schedules whose next run a publication would skip
    keeper       what a publication needs from the journal of its change
"""

from difyops.publishing.content import Content
from difyops.publishing.keeper import Keeper
from difyops.publishing.publication import Overtaken, Publication, PublishSettings

__all__ = ["Content", "Keeper", "Overtaken", "Publication", "PublishSettings"]
