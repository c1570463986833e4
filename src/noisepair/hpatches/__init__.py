"""WING: local descriptors judged as HPatches does, on its patches, noisy ones, or a set of our own.

    layout        a set on disk: sequences of 16 sheets, each a strip of patches
    splits        which sequences train and which test
    make          such a set, of one's own pictures
    described     its patches as vectors, read from disk; describe: made by a model
    tasks         which patches are compared; lists: found, or made from their seed
    precision     average precision, and what ties are worth
    verification  · matching · retrieval: the three tasks
    scores        their tables, the one number each, and how sure it is; collapse: what to doubt
    phototour     the patches and pairs of another benchmark

Balntas, Lenc, Vedaldi, Mikolajczyk 2017, "HPatches: A benchmark and evaluation of handcrafted and
learned local descriptors". Patch i of every sheet of a sequence shows the same place.
"""
