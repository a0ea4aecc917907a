// The page's words in English and Chinese.

export const STRINGS = {
  en: {
    skip: "Skip to the message box", conversations: "Conversations", close: "Close",
    newChat: "New chat", model: "Model", baseModels: "Model", view: "View", chat: "Chat",
    split: "Both", engine: "Engine", engineLive: "Live view of the engine", settings: "Settings",
    language: "中文", switchLanguage: "切换为中文", switchTheme: "Colours",
    themeAuto: "Auto", themeLight: "Light", themeDark: "Dark",
    welcome: "What shall we write?",
    welcomeNote: "Your words go to this server and nowhere else.",
    suggestion1: "Explain how a bird can sleep while it flies",
    suggestion2: "Write a Swift function that reverses the words of a sentence",
    suggestion3: "Draft a short, friendly reminder about a meeting",
    messages: "Messages", latest: "Go to the latest message", message: "Message",
    messageHint: "Write a message", sendHint: "Enter sends, Shift+Enter breaks the line",
    chances: "Probabilities", chancesHelp: "Colour each token of new answers by its probability",
    send: "Send", stop: "Stop", you: "You", yuyan: "Yuyan",
    copy: "Copy", edit: "Edit", regenerate: "Answer again", delete: "Delete", cancel: "Cancel",
    resend: "Send again", showTokens: "Show probabilities", showText: "Show text",
    reasoning: "Reasoning", reasoningNow: "Thinking…", toolCall: "Tool call",
    toolResult: "Result of the tool", sendResult: "Send the result",
    answered: "The answer is complete",
    deleteChat: "Delete “{title}”", deleteSure: "Press again to delete",
    deleteAll: "Delete all conversations",
    deleteAllSure: "Press again to delete {count} conversations",
    usage: "{count} tokens", perSecond: "{rate} tokens/s", firstToken: "first token after {time}",
    promptUsage: "prompt {count}", cachedUsage: "{count} from cache",
    perplexity: "perplexity {value}", finishLength: "cut at the token limit",
    finishStopped: "stopped",
    waitingModel: "The model is loading; waiting for it…", waiting: "Waiting for the first token…",
    needKey: "This server wants an API key.", enterKey: "Enter the key",
    tooBusy: "The server has its hands full.", retryIn: "Try again in {seconds} s",
    retry: "Try again", unreachable: "The server cannot be reached.",
    connectionLost: "The connection broke off before the answer was complete.",
    systemPrompt: "System prompt",
    systemHint: "How the model should behave, for every conversation",
    sampling: "Sampling", samplingNote: "Empty fields leave the choice to the server.",
    temperature: "Temperature", top_p: "Top p", top_k: "Top k", min_p: "Min p",
    max_tokens: "Max tokens", repetition_penalty: "Repetition penalty", seed: "Seed",
    unset: "default", stopStrings: "Stop strings, one a line", extra: "More request fields (JSON)",
    extraBad: "Not a JSON object, so not sent: {reason}", reset: "Back to the server's defaults",
    adapters: "Adapters", noAdapters: "No adapter is loaded.", adapterName: "Name",
    adapterPath: "Folder on the server", load: "Load", unload: "Unload", loading: "Loading…",
    adapterLoaded: "{name} is loaded.", adapterUnloaded: "{name} is unloaded.",
    apiKey: "API key", keyNote: "Kept until this tab is closed.",
    tokenNumber: "Token {number}: {text}, {percent}", others: "others",
    blockMap: "Cache blocks", usedBlock: "in use, by sequence", sharedBlock: "shared",
    cachedBlock: "cached, idle", freeBlock: "free",
    mapSummary: "{used} of {total} in use · {size} each",
    mapLabel:
      "{total} blocks: {used} in use, {cached} cached, {free} free. Step with the arrow keys.",
    readFree: "Block {block}: free", readCached: "Block {block}: cached, idle",
    readUsed: "Block {block}: sequence {sequence}",
    readShared: "Block {block}: sequence {sequence}, {users} users",
    runningSequences: "Running sequences", queueLength: "{count} waiting",
    nobody: "Nothing is running.",
    sequence: "Sequence", promptTokens: "Prompt", generatedTokens: "Generated", blocks: "Blocks",
    adapter: "Adapter", reading: "{done} of {all}",
    tileRate: "Generated tokens/s", tilePrefill: "Prompt tokens/s", tileRunning: "Running",
    tileWaiting: "waiting: {count}", tileCache: "Blocks in use", tileUtilization: "Filled",
    tileFragmentation: "fragmentation {share}", tileHits: "Prefix-cache hits",
    tileHitsNote: "{hits} of {queries} tokens", tileAccepted: "Drafts accepted",
    tileAcceptedNote: "{accepted} of {drafted}", tileOff: "not in use",
    guessing: "Guessing ahead", guessingOn: "on, {length} a time", guessingOff: "paused",
    tileTokens: "{count} tokens",
    peak: "peak {value}", sinceStart: "Since the start", uptime: "Up for", requests: "Requests",
    cancelled: "Cancelled", preemptions: "Preemptions", evicted: "Evicted blocks",
    totalPrompt: "Prompt tokens", totalGenerated: "Generated tokens",
    overhead: "Scheduling overhead",
    engineLost: "The engine does not answer: {reason}",
  },
  zh: {
    skip: "跳到输入框", conversations: "对话", close: "关闭",
    newChat: "新对话", model: "模型", baseModels: "模型", view: "视图", chat: "对话",
    split: "并排", engine: "引擎", engineLive: "引擎实时状态", settings: "设置",
    language: "English", switchLanguage: "Switch to English", switchTheme: "配色",
    themeAuto: "自动", themeLight: "浅色", themeDark: "深色",
    welcome: "今天想写点什么？", welcomeNote: "内容只发往这台服务器，不会去别处。",
    suggestion1: "雨燕为什么可以边飞边睡？", suggestion2: "用 Swift 写一个函数，把句子里的单词倒过来",
    suggestion3: "写一条简短友好的会议提醒",
    messages: "消息", latest: "回到最新消息", message: "消息", messageHint: "输入消息",
    sendHint: "Enter 发送，Shift+Enter 换行",
    chances: "概率", chancesHelp: "为新回答的每个词元按概率着色",
    send: "发送", stop: "停止", you: "你", yuyan: "雨燕",
    copy: "复制", edit: "编辑", regenerate: "重新回答", delete: "删除", cancel: "取消",
    resend: "重新发送", showTokens: "显示概率", showText: "显示正文",
    reasoning: "思考过程", reasoningNow: "思考中…", toolCall: "工具调用",
    toolResult: "工具的结果", sendResult: "发送结果", answered: "回答完毕",
    deleteChat: "删除“{title}”", deleteSure: "再按一次以删除", deleteAll: "删除全部对话",
    deleteAllSure: "再按一次，删除 {count} 个对话",
    usage: "{count} 个词元", perSecond: "{rate} 词元/秒", firstToken: "首词元 {time}",
    promptUsage: "提示词 {count}", cachedUsage: "缓存命中 {count}",
    perplexity: "困惑度 {value}", finishLength: "已达长度上限", finishStopped: "已停止",
    waitingModel: "模型正在加载，请稍候…", waiting: "正在等待第一个词元…",
    needKey: "此服务器需要 API 密钥。", enterKey: "填写密钥",
    tooBusy: "服务器正忙。", retryIn: "{seconds} 秒后可重试", retry: "重试",
    unreachable: "无法连接服务器。", connectionLost: "回答尚未完成，连接已中断。",
    systemPrompt: "系统提示", systemHint: "希望模型如何表现，对所有对话生效",
    sampling: "采样", samplingNote: "留空则由服务器决定。",
    temperature: "温度", top_p: "Top p", top_k: "Top k", min_p: "Min p",
    max_tokens: "最多词元数", repetition_penalty: "重复惩罚", seed: "随机种子",
    unset: "默认", stopStrings: "停止字符串，每行一个", extra: "其他请求字段（JSON）",
    extraBad: "不是 JSON 对象，不会发送：{reason}", reset: "恢复服务器默认值",
    adapters: "适配器", noAdapters: "尚未加载适配器。", adapterName: "名称",
    adapterPath: "服务器上的目录", load: "加载", unload: "卸载", loading: "加载中…",
    adapterLoaded: "已加载 {name}。", adapterUnloaded: "已卸载 {name}。",
    apiKey: "API 密钥", keyNote: "关闭此标签页后即清除。",
    tokenNumber: "第 {number} 个词元：{text}，{percent}", others: "其余",
    blockMap: "缓存块", usedBlock: "使用中（按序列着色）", sharedBlock: "共享",
    cachedBlock: "已缓存、空闲", freeBlock: "未使用",
    mapSummary: "共 {total} 块，已用 {used} 块 · 每块 {size}",
    mapLabel: "共 {total} 块：使用中 {used}，已缓存 {cached}，未使用 {free}。可用方向键逐块查看。",
    readFree: "第 {block} 块：未使用", readCached: "第 {block} 块：已缓存、空闲",
    readUsed: "第 {block} 块：序列 {sequence}", readShared: "第 {block} 块：序列 {sequence}，{users} 个使用者",
    runningSequences: "运行中的序列", queueLength: "排队 {count}", nobody: "当前没有运行中的序列。",
    sequence: "序列", promptTokens: "提示", generatedTokens: "已生成", blocks: "块", adapter: "适配器",
    reading: "{done} / {all}",
    tileRate: "生成 词元/秒", tilePrefill: "预填 词元/秒", tileRunning: "运行中",
    tileWaiting: "排队 {count}", tileCache: "已用块", tileUtilization: "块填充率",
    tileFragmentation: "碎片 {share}", tileHits: "前缀缓存命中", tileHitsNote: "{hits} / {queries} 词元",
    tileAccepted: "草稿接受率", tileAcceptedNote: "{accepted} / {drafted}", tileOff: "未启用",
    guessing: "推测解码", guessingOn: "启用，每次 {length} 个", guessingOff: "暂停",
    tileTokens: "{count} 个词元", peak: "峰值 {value}", sinceStart: "启动以来", uptime: "已运行",
    requests: "请求",
    cancelled: "取消", preemptions: "抢占", evicted: "淘汰的块", totalPrompt: "提示词元",
    totalGenerated: "生成词元", overhead: "调度开销", engineLost: "引擎没有回应：{reason}",
  },
};

let current = "en";

/** The language in use, "en" or "zh". */
export const language = () => current;

/** Takes up the remembered language, or the browser's. */
export function startLanguage() {
  const wanted = localStorage.getItem("yuyan.language") ?? navigator.language ?? "en";
  setLanguage(wanted.startsWith("zh") ? "zh" : "en", false);
}

export function setLanguage(name, remember = true) {
  current = name;
  if (remember) localStorage.setItem("yuyan.language", name);
  document.documentElement.lang = name === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-t]")) {
    element.textContent = t(element.dataset.t);
  }
  for (const element of document.querySelectorAll("[data-hint]")) {
    element.placeholder = t(element.dataset.hint);
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", t(element.dataset.label));
    if (element.matches("button")) element.title = t(element.dataset.label);
  }
}

/** The words for a key, with `{name}` replaced by the values. */
export function t(key, values = {}) {
  const text = STRINGS[current][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** A number with the language's separators. */
export function number(value, digits = 0) {
  const options = { maximumFractionDigits: digits, minimumFractionDigits: digits };
  return new Intl.NumberFormat(current, options).format(Number.isFinite(value) ? value : 0);
}

export const percent = (share, digits = 0) => `${number(share * 100, digits)}%`;

/** A time given in seconds: `0.24 s`, `3 min 20 s`, `5 h 2 min`. */
export function duration(seconds) {
  const [second, minute, hour] = current === "zh" ? ["秒", "分", "小时"] : ["s", "min", "h"];
  const whole = Math.floor(seconds);
  if (seconds < 60) return `${number(seconds, seconds < 10 ? 2 : 0)} ${second}`;
  if (whole < 3600) return `${Math.floor(whole / 60)} ${minute} ${whole % 60} ${second}`;
  return `${Math.floor(whole / 3600)} ${hour} ${Math.floor((whole % 3600) / 60)} ${minute}`;
}
