"""After a restore from backups: which parts are older than which others, and one state made of them again."""
