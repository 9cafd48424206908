-- Several rejections of one source, each with the change that noted it.
BEGIN IMMEDIATE;
ALTER TABLE rejected RENAME TO rejected_1;
CREATE TABLE rejected (
    source TEXT NOT NULL,
    reason TEXT NOT NULL,
    revision INTEGER NOT NULL,
    checksum BLOB NOT NULL
) STRICT;
INSERT INTO rejected SELECT source, reason, 0, checksum FROM rejected_1;
DROP TABLE rejected_1;
CREATE INDEX rejected_by_source ON rejected (source);
PRAGMA user_version = 2;
COMMIT;
