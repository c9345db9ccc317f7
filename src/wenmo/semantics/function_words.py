"""Words that carry grammar or the frame of a text, not its subject, in Chinese and English.

Three lists for each language. A *function word* never stands inside a key phrase and never in a topic. A *frame
word* (the verbs and adverbs with which any text says what it does: "propose", "shows", 采用, 表明) ends a phrase too.
A *general noun* may stand inside a phrase ("numerical analysis", 数值分析) but is no keyword by itself.
"""

from __future__ import annotations

from functools import cache

_ENGLISH_FUNCTION = """
let lets thou thee thy thine ye hath doth shalt wilt sir madam
a an the this that these those some any each every either neither no none both all few several many much more
most less least other another such same own what which who whom whose when where why how whether if then else
than though although because since while until unless as so too very quite rather just only even also still yet
already again ever never not nor or and but i me my mine myself we us our ours ourselves you your yours yourself
yourselves he him his himself she her hers herself it its itself they them their theirs themselves one ones
someone anyone everyone nobody something anything everything nothing am is are was were be been being have has
had having do does did doing done will would shall should can could may might must ought cannot about above
across after against along among amongst around at before behind below beneath beside besides between beyond by
down during except for from in inside into like near of off on onto out outside over per through throughout to
toward towards under underneath up upon via with within without there here now today thus hence therefore
however moreover furthermore nevertheless nonetheless otherwise instead meanwhile indeed perhaps maybe almost
always often sometimes usually soon later once twice first second third two three four five six seven eight nine
ten hundred thousand million etc eg ie vs et al i'm i've i'll i'd you're you've you'll he's she's it's that's
there's we're we've we'll they're they've they'll don't doesn't didn't isn't aren't wasn't weren't won't
wouldn't can't couldn't shouldn't hasn't haven't hadn't let's mr mrs ms dr st s t re ve ll d m o oh ah yes
respectively together apart ago away back far well
"""

_ENGLISH_FRAME = """
accept accepted accord accorded according account achieve achieved achieves achieving add added adding address
addressed addresses addressing aim aimed aims allow allowed allowing allows appear appeared appears applied
applies apply applying argue argued argues arise arises ask asked asks assume assumed assumes assuming attempt
attempted attempts based became become becomes becoming began begin begins begun believe believed believes bring
brings brought call called calls came carried carry cause caused causes choose chosen come comes coming compare
compared comparing concern concerned concerning concerns conclude concluded concludes conducted consider
considered considering considers consist consisting consists contain contained containing contains contribute
contributes could create created creates creating deal deals define defined defines demonstrate demonstrated
demonstrates demonstrating depend depending depends derive derived describe described describes describing
determine determined determines determining develop developed develops discover discovered discuss discussed
discusses discussing employ employed employing employs enable enabled enables enabling encounter encountered
ensure ensures establish established evaluate evaluated evaluates examine examined examines examining exhibit
exhibits exist existing exists explain explained explains explore explored explores exploring extend extended
extends find finding finds focus focused focuses focusing follow followed following follows formulate formulated
found gave get gets getting give given gives giving go goes going gone got happen happened happens held help
helped helps hold holds identified identifies identify identifying illustrate illustrated illustrates implement
implemented improve improved improves improving include included includes including increase increased increases
increasing indicate indicated indicates indicating introduce introduced introduces introducing investigate
investigated investigates investigating involve involved involves involving keep keeps kept knew know known
knows lead leading leads led lie lies look looked looking looks made make makes making mean means meant mention
mentioned need needed needs obtain obtained obtaining obtains occur occurred occurring occurs offer offered
offers perform performed performing performs permit permits point pointed points predicted present presented
presenting presents propose proposed proposes proposing prove proved proven proves provide provided provides
providing put puts raise raised raises reach reached reduce reduced reduces reducing refer referred refers
regard regarded regarding relate remain remained remains report reported reports represent represented
represents require required requires requiring resulted resulting review reviewed reviews reveal revealed
reveals said saw say saying says see seek seeks seem seemed seems seen select selected selecting serve served
serves show showed showing shown shows solve solved solves solving start started starts stated study studied
studies studying suggest suggested suggests support supported supports supposed take taken takes taking tell
tells tend tends think thinks thought told took tried tries try trying turn turned turns understand
understanding undergo use used uses using utilize utilized utilizes utilizing vary varies varying verified
verify want wanted wants went work worked works yield yielded yields able available best better certain clear
clearly close commonly completely currently difficult directly due earlier easily easy effectively efficiently
entire entirely especially essential exactly excellent extensive extremely fairly finally fully further
furthermore generally greater greatly half highly immediately important in-depth increasingly independently
interested interesting largely latest latter former likely little mainly mere merely mostly namely nearly
necessary newly next nice notably obvious obviously originally overall particular particularly possibly
practically presently previous previously primarily prior probably proper properly quick quickly really recent
recently relatively relevant remarkable remarkably right satisfactory significantly similarly simply
simultaneously slightly specific specifically strongly subsequent subsequently substantial substantially
successful successfully sufficient sufficiently suitable true truly typically useful usual various well-known
widely wider zero paper article
"""

_ENGLISH_GENERAL = """
ability advantage advantages amount analysis application applications approach approaches area areas aspect
aspects attention basis behavior behaviour benefit benefits capability case cases challenge challenges change
changes characteristic characteristics choice class common comparison complete component components concept
concepts conclusion condition conditions context contrast current data day days degree description design detail
details development difference differences different difficulty direct direction discussion early effect
effective effects effort end environment equation evidence example examples experience experiment experiments
extent fact factor factors feature features field fields figure final first form full function functions future
goal good great group groups high higher highest idea ideas impact implementation implication importance
improvement independent individual individuals information interest interests introduction investigation issue
issues item items key kind kinds knowledge lack large larger largest last late level levels life limit line list
literature long longer lot low lower lowest main major man manner matter measure measurement mechanism men
method methodology methods minor model models nature novel new notion number numbers object objective objectives old
order original overview part parts people performance period person perspective phase phenomenon place points
poor position possibility possible practical practice presence primary principle problem problems procedure
procedures process processes product program programs properties property proposal purpose quality quantity
question questions range rate real reason reasons relation relationship research researcher researchers respect
response result results role rule rules sample scale scheme scope second section self sense series service set
sets short side significant similar simple situation situations size small smaller solution solutions sort
source space stage standard state states step steps strategy strong structure structures subject success survey
system systems task tasks technique techniques technology term terms test tests theory thing things time times
tool tools topic topics total type types typical unique unit use user users value values variable variety
version view way ways week weeks whole wide woman women word words world year years young
"""

_CHINESE_FUNCTION = """
的 地 得 了 着 过 之 乎 者 也 矣 焉 哉 兮 而 以 于 於 其 所 乃 与 與 及 和 或 且 并 並 但 却 卻 则 則 若 如 因
故 由 从 從 自 向 往 对 對 对于 對於 关于 關於 至于 至於 由于 由於 因为 因為 所以 因此 因而 从而 從而 然而 但是
可是 不过 不過 而且 并且 並且 以及 或者 还是 還是 虽然 雖然 尽管 儘管 即使 如果 假如 要是 只要 只有 除非 无论
無論 不管 既然 于是 於是 然后 然後 接着 同时 同時 此外 另外 其次 首先 最后 最後 总之 總之 例如 比如 譬如 即 亦
又 再 还 還 都 皆 均 全 只 仅 僅 才 就 便 更 最 很 太 极 極 挺 非常 十分 相当 相當 比较 比較 较 較 越 愈 稍 略
几乎 幾乎 已 已经 已經 曾 曾经 曾經 正 正在 将 將 将要 即将 刚 剛 刚刚 常 常常 经常 經常 往往 总 總 总是 總是
一直 仍 仍然 依然 不 没 沒 没有 沒有 未 无 無 非 勿 别 別 莫 不是 不能 不会 不會 不可 是 为 為 为了 為了 有 在
把 被 让 讓 给 給 使 令 叫 用 按 按照 依 依据 依據 依照 根据 根據 通过 通過 经 經 经过 經過 沿 沿着 随 隨 随着
隨著 当 當 到 至 跟 同 比 除 除了 除外 据 據 就是 也是 都是 这 這 那 哪 这个 這個 那个 那個 这些 這些 那些 这样
這樣 那样 那樣 这里 這裡 那里 那裡 这种 這種 那种 那種 这么 這麼 那么 那麼 此 该 該 本 各 每 某 另 另一 其他
其它 其余 其餘 别的 某些 各个 各個 各种 各種 各类 各類 每个 每個 一些 有些 有的 许多 許多 很多 多少 几 幾 几个
多 少 些 点 點 个 個 种 種 类 類 项 項 次 位 件 条 條 隻 张 張 我 你 您 他 她 它 咱 我们 我們 你们 你們 他们
他們 她们 她們 它们 它們 咱们 自己 自身 本身 大家 人家 彼此 谁 誰 什么 什麼 怎么 怎麼 怎样 怎樣 如何 为什么
為什麼 为何 何 何处 哪里 哪裡 哪儿 哪些 哪个 吗 嗎 呢 吧 啊 呀 哦 哇 嘛 啦 喔 嗯 哈 唉 哎 上 下 里 裡 内 內 外
中 间 間 前 后 後 左右 之间 之間 之后 之後 之前 之中 之一 以上 以下 以内 以外 以后 以後 以前 以来 以來 一 二 三
四 五 六 七 八 九 十 百 千 万 萬 亿 億 两 兩 第一 第二 第三 一个 一個 一种 一種 一定 一样 一樣 一般 一起 一切
一方面 另一方面 可 可以 能 能够 能夠 会 會 应 應 应该 應該 应当 應當 必须 必須 需 需要 要 想 得以 来 來 去 起来
起來 出来 出來 下来 下去 上来 过来 过去 等 等等 之类 所谓 所謂 说 說 道 看 做 作 作为 作為 成 成为 成為 像 似
似乎 好像 好 大 小 不同 相同 有关 有關 相关 相關
"""

_CHINESE_FRAME = """
知道 觉得 说道 笑道 问道 听见 看见 看到 只见 一面 如今 现在 今天 今日 今儿 不知 告诉 出去 进来 回来 回去 有点 真的
本文 文中 文章 文献 作者 笔者 论文 论述 阐述 阐明 探讨 讨论 介绍 综述 概述 指出 认为 提出 给出 得出 得到 获得
取得 采用 利用 运用 使用 应用于 基于 针对 进行 开展 实施 实现 完成 达到 具有 存在 包括 包含 属于 表明 显示 说明
证明 证实 发现 结果表明 研究表明 实验 试验结果 目的 结论 结果 方法 探索 考察 旨在 提供 建立 构建 形成 产生 引起
导致 造成 提高 增加 增强 改善 改进 降低 减少 促进 加强 优于 高于 低于 大于 小于 等于 适用 适用于 有效 有效地
主要 重要 明显 显著 较好 较高 较低 良好 一致 可行 可靠 合理 简单 复杂 新 新型 新的 目前 近年来 当前 现有 现阶段
今后 未来 进一步 分别 其中 相应 相对 绝对 直接 间接 充分 完全 基本 基本上 特别 尤其 大量 少量 部分 全部 整个
整体 总体 逐渐 逐步 不断 迅速 快速 及时 认真 积极 必要 最终 最大 最小 最佳 最优 以期 从中 给予 予以 加以 有着
作出 做出 带来 面临 成功 能否 有利于 有助于 不足 提升 影响 变化 研究 分析 采取 选择 选取 确定 比较 对比 统计学
差异 意义 统计学意义 明确 明确地 揭示 解决 满足 考虑 保证 确保 保持 避免 克服 应用 表现 表现为 反映 体现 体现在
依靠 依赖 取决于 来自 来源于 归纳 总结 建议 期望 希望 帮助 参考 借鉴 收集 选用 测定 测量 计算 观察 检测 处理
评价 评估 验证 模拟 设计 开发 发展 推导 描述 反应 发生 发挥 改变 出现 引入 引进 组成 构成 变得 趋于 接近 超过 占
达 呈 呈现 高 低 强 弱 快 慢 长 短 早 晚 深 浅 新增
"""

_CHINESE_GENERAL = """
问题 情况 方面 过程 方式 方法 条件 因素 原因 特点 特征 特性 性能 性质 结构 功能 作用 效果 效应 影响 关系 规律
机制 机理 原理 理论 模型 系统 技术 算法 方案 策略 措施 对策 建议 途径 思路 手段 工具 平台 体系 标准 指标 参数
数据 信息 资料 内容 对象 目标 任务 工作 活动 行为 现象 状态 状况 水平 程度 能力 质量 数量 速度 时间 空间 范围
区域 地区 位置 环境 背景 基础 前提 依据 意义 价值 优势 优点 缺点 不足 趋势 现状 前景 需求 要求 研究 分析 设计
应用 实验 试验 测试 检测 测量 计算 模拟 仿真 控制 管理 评价 评估 优化 开发 发展 变化 变革 比较 对比 统计 结果
结论 过程中 条件下 基础上 角度 层次 领域 学科 学者 人员 人们 患者 病人 病例 年 月 日 年度 时期 阶段 时代 世纪
国家 社会 企业 单位 部门 市场 产品 材料 样品 样本 组 例 种类 类型 形式 模式 形态 部分 部位 环节 步骤 程序 表 图
公式 方程 函数 曲线 概念 定义 观点 思想 理念 原则 事 人 物 者 东西 事情 地方 时候 办法 道理 意思 样子 处理 反应
测定 验证 选择 描述 观察 治疗 表现 影响因素
"""


def _split(text: str) -> frozenset[str]:
    return frozenset(text.split())


@cache
def function_words() -> frozenset[str]:
    """Function words of both languages, lower-cased; both scripts of Chinese."""
    return _split(_ENGLISH_FUNCTION) | _split(_CHINESE_FUNCTION)


@cache
def frame_words() -> frozenset[str]:
    """Words that say what a text does or how much, not what it is about."""
    return (_split(_ENGLISH_FRAME) | _split(_CHINESE_FRAME)) - general_nouns()


@cache
def general_nouns() -> frozenset[str]:
    """Nouns of any subject, good inside a phrase and no keyword alone."""
    return _split(_ENGLISH_GENERAL) | _split(_CHINESE_GENERAL)


@cache
def stop_words() -> frozenset[str]:
    """What never enters a topic or stands alone as a keyword: all three lists."""
    return function_words() | frame_words() | general_nouns()
