"""Rotation: a secret is replaced while its callers go on, with proof, a grace period and a way back.

    machine     the states and what comes next, pure, on one page        journal  every step on disk before it is done
    engine      plan, begin, drive, turn back                            steps    what each step does
    vault       values that must survive a kill (0600 or keyring)        job    what a step may use
    probe       real runs with smoke inputs                              deliver  where callers read the new value
    inventory   what secrets there are, their age, who uses them         policy   what the configuration asks for
    kinds/      one file per kind of secret: how it is made, switched, proved, retired and taken back

No text for people here beyond messages, no other room.
"""
