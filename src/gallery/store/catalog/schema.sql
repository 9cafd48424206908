PRAGMA journal_mode = WAL;
PRAGMA user_version = 2;
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    generation INTEGER NOT NULL, -- of vectors-GENERATION.f32
    revision INTEGER NOT NULL,   -- one more with every change
    manifest BLOB NOT NULL,      -- BLAKE3 of gallery.json
    checksum BLOB NOT NULL
) STRICT;
CREATE TABLE images (
    id INTEGER PRIMARY KEY,      -- the row of its vector
    hash BLOB NOT NULL UNIQUE,   -- BLAKE3 of the picture file
    source TEXT NOT NULL UNIQUE, -- path or address
    path TEXT,                   -- the picture file, or the archive that it is in
    offset INTEGER,              -- where it begins in the archive
    length INTEGER,
    license TEXT,
    author TEXT,
    origin TEXT,
    caption TEXT,
    width INTEGER,
    height INTEGER,
    json TEXT,
    checksum BLOB NOT NULL
) STRICT;
-- Rows of vectors whose image is gone.
CREATE TABLE removed (id INTEGER PRIMARY KEY, revision INTEGER NOT NULL) STRICT;
CREATE INDEX removed_by_revision ON removed (revision);
-- Rows of vectors that were written together.
CREATE TABLE segments (
    first INTEGER PRIMARY KEY,
    rows INTEGER NOT NULL,
    checksum BLOB NOT NULL       -- BLAKE3 of their bytes
) STRICT;
-- Images that could not be added.
CREATE TABLE rejected (
    source TEXT NOT NULL,
    reason TEXT NOT NULL,
    revision INTEGER NOT NULL,   -- the change that noted it
    checksum BLOB NOT NULL
) STRICT;
CREATE INDEX rejected_by_source ON rejected (source);
