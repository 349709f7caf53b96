import { Command } from "commander";
import { readVersion } from "../../config/version.ts";

export function createVersionCommand(): Command {
  return new Command("version").description("Print the version of Meltemi and of Node.").action(() => {
    process.stdout.write(`meltemi ${readVersion()} (Node ${process.versions.node})\n`);
  });
}
