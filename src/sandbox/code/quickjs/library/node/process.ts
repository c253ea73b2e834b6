import { process } from "../process.ts";

export default process;
export const { argv, env, cwd, exit, stdout, stderr } = process;
