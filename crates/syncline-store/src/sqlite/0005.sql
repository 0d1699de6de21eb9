-- A link keeps its image always, and a shard whose data is the image of one of its links (said_by) keeps none:
-- its data is empty.
UPDATE link SET image = (SELECT data FROM shard WHERE id = link.shard) WHERE image IS NULL;
ALTER TABLE shard ADD COLUMN said_by INTEGER;
