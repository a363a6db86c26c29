#include "CXML.h"

#include <libxml/xmlreader.h>

static xmlTextReaderPtr reader_of(cxml_reader *reader) { return (xmlTextReaderPtr)reader; }

cxml_reader *cxml_open(const char *bytes, int count) {
    return (cxml_reader *)xmlReaderForMemory(bytes, count, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
}

void cxml_close(cxml_reader *reader) { xmlFreeTextReader(reader_of(reader)); }
int cxml_next(cxml_reader *reader) { return xmlTextReaderRead(reader_of(reader)); }
int cxml_kind(cxml_reader *reader) { return xmlTextReaderNodeType(reader_of(reader)); }
int cxml_is_empty(cxml_reader *reader) { return xmlTextReaderIsEmptyElement(reader_of(reader)) == 1; }
int cxml_line(cxml_reader *reader) { return xmlTextReaderGetParserLineNumber(reader_of(reader)); }

const char *cxml_name(cxml_reader *reader) {
    const xmlChar *name = xmlTextReaderConstName(reader_of(reader));
    return name ? (const char *)name : "";
}

const char *cxml_text(cxml_reader *reader) {
    const xmlChar *text = xmlTextReaderConstValue(reader_of(reader));
    return text ? (const char *)text : "";
}

char *cxml_attribute(cxml_reader *reader, const char *name) { return (char *)xmlTextReaderGetAttribute(reader_of(reader), (const xmlChar *)name); }
void cxml_free(char *attribute) { xmlFree(attribute); }
