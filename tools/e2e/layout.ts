/** Where the node of `make e2e` lives: folders of this checkout, and addresses of a network that nobody else sees. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../", import.meta.url));
/** Everything of a running node; removed with it. */
export const nodeFolder = join(root, ".cache/e2e/node");
/** Archives of the images, made anew at each start. */
export const imageFolder = join(root, ".cache/e2e/images");
/** Logs of the last run, which outlive it. */
export const logFolder = join(root, ".cache/e2e/logs");
/** An administrator's credentials; its address is reached from the node's network alone. */
export const kubeconfig = join(nodeFolder, "kubeconfig");

// Inside the node's own network namespace: none of these is ever seen, or dialled, by the machine itself.
export const nodeName = "node1";
export const nodeIp = "172.31.250.2";
export const serviceRange = "10.96.0.0/16";
export const apiServiceIp = "10.96.0.1";
export const dnsIp = "10.96.0.10";
export const podRange = "10.244.0.0/16";
export const apiUrl = "https://127.0.0.1:6443";
