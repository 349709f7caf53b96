import type { ChildLink } from "./child-link.ts";
import type { LoadAnswer, LoadCommand } from "./load-process.ts";

/** The process that asks. */
export type LoadLink = ChildLink<LoadCommand, LoadAnswer>;

/** Rejects with what went wrong where the answer is of another kind. */
export async function askLoad<Is extends LoadAnswer["is"]>(
  load: LoadLink,
  command: LoadCommand,
  is: Is,
): Promise<Extract<LoadAnswer, { readonly is: Is }>> {
  const answer = await load.ask(command);
  if (answer.is === is) return answer as Extract<LoadAnswer, { readonly is: Is }>;
  throw new Error(answer.is === "failure" ? answer.reason : `the load generator says ${answer.is}`);
}
