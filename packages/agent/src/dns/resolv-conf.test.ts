import { expect, it } from "vitest";
import { parseResolvConf } from "./resolv-conf.ts";

it.each([
  ["nothing", "", { nameservers: [], search: [], ndots: 1 }],
  [
    "a pod's file",
    "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n",
    { nameservers: ["10.96.0.10"], search: ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"], ndots: 5 },
  ],
  ["comments", "# x\n; y\nnameserver 10.0.0.1 # z\n", { nameservers: ["10.0.0.1"], search: [], ndots: 1 }],
  [
    "several servers in order",
    "nameserver ::1\n\tnameserver\t10.0.0.1",
    { nameservers: ["::1", "10.0.0.1"], search: [], ndots: 1 },
  ],
  [
    "the last of search and domain",
    "domain a.test b.test\nsearch c.test\ndomain d.test e.test",
    { nameservers: [], search: ["d.test"], ndots: 1 },
  ],
  ["options of several lines", "options ndots:3 rotate\noptions ndots:99", { nameservers: [], search: [], ndots: 15 }],
  ["half lines", "nameserver\nsearch\noptions ndots:", { nameservers: [], search: [], ndots: 1 }],
])("reads %s", (_, text, expected) => {
  expect(parseResolvConf(text)).toEqual(expected);
});
