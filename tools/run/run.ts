/**
 * `make run`: the Bookinfo mesh on this machine. Control plane, four small services (three versions of reviews), a proxy
 * beside each and one at the entrance, until Ctrl-C. CONFIG_DIR names another directory than the sample's, PROXY=envoy
 * takes real Envoys in place of companion proxies.
 */
import { join, relative, resolve } from "node:path";
import { controlPlanePorts, gatewayPort } from "./mesh-layout.ts";
import {
  checkPorts,
  createRun,
  prepareFolder,
  root,
  runFolder,
  runProgram,
  sampleDir,
  say,
  startControlPlane,
  startWorkloads,
  step,
  waitFor,
} from "./mesh-run.ts";
import { findProxyProgram } from "./proxy-program.ts";

const configDir = relative(root, resolve(root, process.env["CONFIG_DIR"] || sampleDir)) || ".";

await runProgram(async () => {
  say("Setting up");
  const proxy = await findProxyProgram(process.env["PROXY"] ?? "", step);
  await checkPorts();
  prepareFolder();
  const processes = createRun();
  say(`Starting the mesh of ${configDir}`);
  await startControlPlane(processes, ["--config-dir", configDir]);
  await startWorkloads(processes, proxy);
  if (configDir === sampleDir) await waitFor("the product page", `http://127.0.0.1:${gatewayPort}/productpage`);
  printInvitation();
});

function printInvitation(): void {
  const debug = `127.0.0.1:${controlPlanePorts.monitoring}`;
  const reviews = join(configDir, "reviews.yaml");
  say(`
Open http://127.0.0.1:${gatewayPort}/productpage

Three things to try, in another terminal:
  1. Edit a weight: in ${reviews} change "weight: 100" of v1 to 0 and "weight: 0" of v3 to 100, save, and
     reload the page: the stars turn red. Mistakes in a file are shown here; the mesh keeps what was good.
  2. Add a fault: above "timeout: 5s" in the same file write
       fault: {abort: {httpStatus: 503, percentage: {value: 50}}}
     and half of the pages have no reviews.
  3. Look at the services that the mesh knows: curl '${debug}/debug/registryz?pretty'
     (http://${debug}/debug lists all such pages)

Ctrl-C ends everything that was started. Logs are in ${runFolder}/logs.
`);
}
