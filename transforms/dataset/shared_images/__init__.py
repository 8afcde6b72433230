"""Which examples hang together because they share images, wherever they stand: packed hashes of blocks -> labels of examples."""
