"""WING: local descriptors judged as HPatches does, on its patches, noisy ones, or a set of our own.

    layout     a set on disk: sequences of 16 sheets, each a strip of patches
    splits     which sequences train and which test
    make       such a set, of one's own pictures
    tasks      which patches are compared: read from the benchmark's lists, or made from their seeds

Balntas, Lenc, Vedaldi, Mikolajczyk 2017, "HPatches: A benchmark and evaluation of handcrafted and
learned local descriptors". Patch i of every sheet of a sequence shows the same place.
"""
