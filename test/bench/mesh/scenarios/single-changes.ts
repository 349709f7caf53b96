import { buildGatewayMesh, buildGatewayRoute } from "../meshes/gateway-mesh.ts";
import { buildPlainMesh, listAddresses, plainService } from "../meshes/plain-mesh.ts";
import { addService, changeEndpoints, changeRoute, changeRule } from "./changes.ts";
import { repeatChanges } from "./repeat-changes.ts";
import type { Scenario } from "./scenario.ts";

const onPlainMesh = { buildMesh: buildPlainMesh, needsOwnServer: false } as const;

export const endpointChange: Scenario = {
  ...onPlainMesh,
  name: "endpoint",
  title: "endpoint change",
  run: (context) =>
    repeatChanges(context, (serial) => {
      const index = serial % context.size.services;
      return changeEndpoints(plainService(index), listAddresses(index, context.size.endpoints), serial);
    }),
};

export const virtualServiceChange: Scenario = {
  ...onPlainMesh,
  name: "virtual-service",
  title: "VirtualService change",
  run: (context) =>
    repeatChanges(context, (serial) => changeRoute(plainService(serial % context.size.services), serial)),
};

export const destinationRuleChange: Scenario = {
  ...onPlainMesh,
  name: "destination-rule",
  title: "DestinationRule change",
  // The one service that has had a rule from the beginning: the first rule of a service changes more than its cluster.
  run: (context) => repeatChanges(context, (serial) => changeRule(plainService(0), serial)),
};

export const newService: Scenario = {
  ...onPlainMesh,
  name: "new-service",
  title: "new service",
  run: (context) => repeatChanges(context, (serial) => addService(serial, context.size.services)),
};

export const gatewayHosts: Scenario = {
  name: "gateway",
  title: "gateway, one host's change",
  buildMesh: buildGatewayMesh,
  needsOwnServer: false,
  run: (context) =>
    repeatChanges(context, (serial) => {
      const routeName = `turn-${serial}.`;
      return {
        objects: [buildGatewayRoute(serial % context.size.hosts, context.size, routeName)],
        conditions: [{ type: "rds", marker: routeName }],
      };
    }),
};
