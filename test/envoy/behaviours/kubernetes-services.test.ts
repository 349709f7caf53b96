import { describeBehaviours } from "./runner.ts";

describeBehaviours("kubernetes-services");
