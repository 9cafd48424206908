//! Networks, one folder per family; nothing here knows of retrieval.
