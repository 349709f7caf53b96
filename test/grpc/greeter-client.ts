/**
 * A gRPC client that reads xDS itself, as a program of its own: the library takes its bootstrap from the environment.
 * Asked over IPC to call a target some times; answers who replied how often.
 */
import { Client, credentials } from "@grpc/grpc-js";
import { register } from "@grpc/grpc-js-xds";

export interface Question {
  readonly target: string;
  readonly calls: number;
}

/** Names of servers (or "error: <status>") with the number of their answers. */
export type Answers = Readonly<Record<string, number>>;

register();
const clients = new Map<string, Client>();

process.on("message", ({ target, calls }: Question) => {
  void countAnswers(target, calls).then((answers) => process.send?.(answers));
});

async function countAnswers(target: string, calls: number): Promise<Answers> {
  const answers: Record<string, number> = {};
  for (let call = 0; call < calls; call++) {
    const answer = await greet(target);
    answers[answer] = (answers[answer] ?? 0) + 1;
  }
  return answers;
}

function greet(target: string): Promise<string> {
  const client = clients.get(target) ?? new Client(target, credentials.createInsecure());
  clients.set(target, client);
  const keep = (bytes: Buffer): Buffer => bytes;
  return new Promise((resolve) => {
    const options = { deadline: Date.now() + 5000 };
    client.makeUnaryRequest("/test.Greeter/Greet", keep, keep, Buffer.alloc(0), options, (error, reply) =>
      resolve(error === null ? String(reply) : `error: ${error.details}`),
    );
  });
}
