"""Which examples hang together because they share images, however far apart they stand: packed hashes of blocks -> labels of examples."""
