/// Port mappings of a UPnP Internet Gateway Device, through libminiupnpc. The calls wait for the network: they belong on a
/// thread of the pool.
#pragma once
#include <stdint.h>

struct cu_mapping {
    uint8_t is_udp;
    uint16_t internal_port;
    /// In: the port that is asked for. Out: the one that was given, 0 when none was.
    uint16_t external_port;
};

struct cu_gateway {
    /// Texts end with NUL; empty when not known.
    char control_url[256];
    char service_type[128];
    char local_address[64];
    char external_address[64];
    char error[160];
};

/// Looks for a gateway for `milliseconds` on the interface that has `local` (NULL: the system's choice), and asks it for
/// mappings to that address for `lease` seconds. 1 when it was found and all were given, 0 otherwise; `gateway->error` says why.
int cu_map(struct cu_gateway *gateway, const char *local, int milliseconds, struct cu_mapping *mappings, int count, unsigned lease);
/// Ends a mapping of a gateway that cu_map found.
void cu_unmap(const struct cu_gateway *gateway, struct cu_mapping mapping);
