#include "CUPnP.h"
#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <miniupnpc/upnperrors.h>
#include <stdio.h>
#include <string.h>

// UPnP IGD error codes that another try may mend.
enum { CONFLICT_IN_MAPPING = 718, ONLY_PERMANENT_LEASES = 725 };

static int add(const struct cu_gateway *g, const struct cu_mapping *m, uint16_t external, unsigned lease) {
    char inside[8], outside[8], seconds[16];
    snprintf(inside, sizeof inside, "%u", m->internal_port);
    snprintf(outside, sizeof outside, "%u", external);
    snprintf(seconds, sizeof seconds, "%u", lease);
    return UPNP_AddPortMapping(g->control_url, g->service_type, outside, inside, g->local_address, "ccbt", m->is_udp ? "UDP" : "TCP", NULL, seconds);
}

static int map_one(struct cu_gateway *g, struct cu_mapping *m, unsigned lease) {
    uint16_t wanted = m->external_port;
    m->external_port = 0;
    int code = 0;
    // Another machine behind the gateway may have the port; the next ones are as good.
    for (unsigned step = 0; step < 8; step++) {
        uint16_t external = (uint16_t)(wanted + step < 1024 ? 1024 + step : wanted + step);
        code = add(g, m, external, lease);
        if (code == ONLY_PERMANENT_LEASES) code = add(g, m, external, 0);
        if (code == UPNPCOMMAND_SUCCESS) {
            m->external_port = external;
            return 1;
        }
        if (code != CONFLICT_IN_MAPPING) break;
    }
    const char *why = strupnperror(code);
    snprintf(g->error, sizeof g->error, "the gateway refuses port %u: %s (%d)", wanted, why ? why : "unknown error", code);
    return 0;
}

int cu_map(struct cu_gateway *g, const char *local, int milliseconds, struct cu_mapping *mappings, int count, unsigned lease) {
    memset(g, 0, sizeof *g);
    int error = 0, done = 0;
    struct UPNPDev *devices = upnpDiscover(milliseconds, local, NULL, UPNP_LOCAL_PORT_ANY, 0, 2, &error);
    if (!devices) {
        snprintf(g->error, sizeof g->error, "no UPnP gateway answers");
        return 0;
    }
    struct UPNPUrls urls = {0};
    struct IGDdatas data = {0};
#if MINIUPNPC_API_VERSION >= 18
    int found = UPNP_GetValidIGD(devices, &urls, &data, g->local_address, sizeof g->local_address, g->external_address, sizeof g->external_address);
#else
    int found = UPNP_GetValidIGD(devices, &urls, &data, g->local_address, sizeof g->local_address);
#endif
    // 2 is a gateway whose own address is a private one, from version 18 on; before it, one without a connection.
    int usable = found == 1 || (MINIUPNPC_API_VERSION >= 18 && found == 2);
    if (usable && strlen(urls.controlURL) < sizeof g->control_url && strlen(data.first.servicetype) < sizeof g->service_type) {
        strcpy(g->control_url, urls.controlURL);
        strcpy(g->service_type, data.first.servicetype);
        if (local) snprintf(g->local_address, sizeof g->local_address, "%s", local);
        char address[64] = "";
        if (UPNP_GetExternalIPAddress(g->control_url, g->service_type, address) == UPNPCOMMAND_SUCCESS)
            snprintf(g->external_address, sizeof g->external_address, "%s", address);
        done = 1;
        for (int i = 0; i < count; i++) done &= map_one(g, &mappings[i], lease);
    } else {
        snprintf(g->error, sizeof g->error, found == 2 || found == 3 ? "a UPnP gateway without a connection" : "UPnP devices, but no gateway");
    }
    if (found) FreeUPNPUrls(&urls);
    freeUPNPDevlist(devices);
    return done;
}

void cu_unmap(const struct cu_gateway *g, struct cu_mapping m) {
    char outside[8];
    snprintf(outside, sizeof outside, "%u", m.external_port);
    UPNP_DeletePortMapping(g->control_url, g->service_type, outside, m.is_udp ? "UDP" : "TCP", NULL);
}
