#include "db/install_schema.h"

const char install_schema[] =
#include "install_schema.inc"
    ;
