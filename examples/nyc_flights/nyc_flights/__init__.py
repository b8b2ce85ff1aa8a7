"""The New York flights of 2013 as data assets: `source` hands the data out, `assets` lands it, `servers` may be where
it goes, `report` shows it."""
