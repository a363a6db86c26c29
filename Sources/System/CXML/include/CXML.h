#pragma once
// libxml2's pull reader over bytes in memory: no network, no external entities, no entities of the document's own.
// libxml2 bounds depth (256), names and texts by itself.

typedef struct cxml_reader cxml_reader;

enum { CXML_START = 1, CXML_TEXT = 3, CXML_CDATA = 4, CXML_END = 15 };

// NULL without memory. The bytes must live as long as the reader.
cxml_reader *cxml_open(const char *bytes, int count);
void cxml_close(cxml_reader *reader);
// 1: at a node; 0: at the end; -1: not well-formed.
int cxml_next(cxml_reader *reader);
// One of the kinds above, or another that is to be passed over.
int cxml_kind(cxml_reader *reader);
// An element that has no end node of its own.
int cxml_is_empty(cxml_reader *reader);
int cxml_line(cxml_reader *reader);
// With its prefix; valid until the next node. Never NULL.
const char *cxml_name(cxml_reader *reader);
const char *cxml_text(cxml_reader *reader);
// NULL when there is none; freed with cxml_free.
char *cxml_attribute(cxml_reader *reader, const char *name);
void cxml_free(char *attribute);
