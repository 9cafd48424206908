//! The words by which the sentences of a plan of edits are read. Those in one list have `|` between them.

/// How English instructions begin.
pub(super) const VERBS: &str = "add|adjust|align|alter|apply|arrange|attach|blur|brighten|bring|center|centre|change|\
    clean|clear|close|color|colour|combine|connect|convert|correct|cover|create|crop|cut|darken|decorate|\
    decrease|deepen|delete|depict|desaturate|double|draw|dress|drop|duplicate|edit|eliminate|emphasize|enhance|\
    enlarge|ensure|erase|exchange|expand|extend|fade|fill|fix|flip|generate|give|hang|have|hide|highlight|\
    illuminate|improve|include|increase|insert|install|integrate|intensify|introduce|lengthen|let|lift|lighten|\
    lower|make|merge|mirror|modify|move|narrow|open|paint|paste|place|point|pose|position|put|raise|\
    rearrange|recolor|recolour|redesign|redraw|reduce|refine|reflect|relocate|remove|render|reorient|\
    repaint|repair|replace|reposition|reshape|resize|restore|restyle|retouch|reverse|revise|rewrite|rotate|\
    saturate|scale|seat|separate|set|shape|sharpen|shift|shorten|show|shrink|simplify|sketch|slide|smooth|soften|\
    split|spread|straighten|strengthen|stretch|stylize|substitute|surround|swap|switch|take|thicken|tilt|\
    tint|tone|transform|trim|turn|update|use|warm|widen|wrap|write|zoom";

/// What may stand before the verb: "Next, please add", "You should add".
pub(super) const ADVERBS: &str = "please|kindly|then|first|firstly|second|secondly|third|next|finally|lastly|also|and|now|\
    after|that|you|should|could|must|need|to|we|again|just|simply|slightly|carefully|instead|additionally|would|so|but|\
    be|best|try|consider|suggest|recommend|propose|advise|let's|like";

/// What a speaker begins with, before the same.
pub(super) const SPEAKERS: [&str; 8] = [
    "i would",
    "i'd",
    "i suggest",
    "i recommend",
    "i propose",
    "i advise",
    "we'd",
    "my suggestion is",
];

/// What follows a noun that is written like a verb: "Color is right", "Position matches".
pub(super) const FINITE: &str =
    "is|are|was|were|matches|match|looks|seems|appears|has|does|isn't|aren't";

/// What an item is called that is one of a plan: "Step 2", "Edit", "Final plan".
pub(super) const STEPS: &str = "step|steps|edit|edits|instruction|instructions|action|actions|change|changes|\
    correction|corrections|fix|fixes|modification|modifications|task|feedback|plan|adjustment|\
    adjustments|editing|solution|suggestion|suggestions|recommendation|recommendations";

/// What may stand around those words.
pub(super) const AROUND: &str = "the|a|final|first|second|third|fourth|fifth|next|last|needed|required|necessary|\
    suggested|proposed|recommended|following|list|of|are|is|here|to|make|number|single|image";

/// Words that an instruction to carry out the plan is made of: "Apply these edits in order."
pub(super) const PLAN: &str =
    "these|those|above|below|all|in|order|match|prompt|and|following|apply|only";

/// What explains an instruction, as a label: "Reason: …", "Issue 2: …". More than one word may follow.
pub(super) const REASONS: &str = "reason|reasons|reasoning|why|rationale|because|explanation|justification|issue|issues|\
    problem|problems|mistake|current|currently|expected|observed|observation|observations|analysis|status|\
    note|notes|error|warning|purpose|goal|thought|thoughts|cause|evidence|effect|benefit";

/// What words for "nothing" are about that say the image needs no edit: "No further changes".
pub(super) const NEEDS: &str = "edit|edits|editing|change|changes|changed|correction|corrections|modification|\
    modifications|modified|adjustment|adjustments|alteration|alterations|feedback|fix|fixes|fixed|improvement|\
    improvements|mistakes|mistake|differences|difference|discrepancies|discrepancy|edited|instructions|steps|\
    needed|necessary|required|errors|issues|flaws|problems|deviations|deviation|mismatch|mismatches|missing|wrong|\
    differ|action|actions|altered|adjusted|corrected|adjust|alter|modify|correct|improved|done";

/// What may stand between a denial and that.
pub(super) const BETWEEN: &str = "any|anything|a|the|need|needs|require|requires|see|find|notice|detect|have|has|to|be|\
    further|other|more|additional|for|else|is|are|was|were|really|strictly|obvious|significant|visible|major|\
    minor|apparent|clear|noticeable|single|make|made|suggest|would|should|it|do|does|there|color|colour|style|\
    content|visual|remaining|that|of|this|image|call|warrant";

/// What a clause may hold beside these that denies all of it: "So I see no need for edits at all".
pub(super) const ALL: &str = "so|and|therefore|thus|i|we|can|at|all|in|on|no|none|nothing|zero|0|not|prompt|as|here|\
    must|been|there's|found|since|picture|draft|currently|because";

/// What goes on after edits: "No further edits are needed".
pub(super) const FURTHER: &str = "further|other|others|more|additional|else";

/// What a clause is about that says something of the image as a whole.
pub(super) const WHOLE: &str = "image|picture|photo|draft|everything|all|both|it|it's|looks|this|every|fully|result|which|\
    perfect";

/// What it holds where the image is as it should be.
pub(super) const RIGHT: &str = "match|matches|matched|matching|already|aligns|aligned|correct|correctly|accurate|\
    accurately|perfect|perfectly|faithful|faithfully|satisfies|complete|fine|good|great|present|ok|okay|\
    right|included|unchanged|adheres|fulfills|fulfils|meets|follows|consistent|done|depicted|visible|satisfied|\
    fulfilled|met|reflects|captures|depicts|represents|represented";

/// What a sentence holds where the image is not as it should be.
pub(super) const WRONG: &str = "not|but|however|except|only|lacks|lacking|missing|need|needs|should|instead|no|mostly|almost|\
    partially|partly|would|will|once|although|though|unless|until|if|make|nearly|could|sure|unsure|unclear|wrong|\
    cannot|absent|better|closer|yet|still|too|otherwise|incorrect|maybe|perhaps";

/// What may be said of a thing that is right: "Tree: present".
pub(super) const FINE: &str = "present|ok|okay|fine|good|correct|matches|match|matched|unchanged|yes|is|are|already|all|and|\
    there|as|the|shown|visible|included|none|n|a|right|perfect|same|keep|it|no|change|changes|needed|prompt|in";

/// What leaves the image as it is.
pub(super) const KEEPS: &str = "keep|leave|maintain|preserve|retain";

/// Words for "no" and "none" of other languages, by which nothing is edited. What they deny is not known.
pub(super) const DENIALS: &str = "keine|kein|keinerlei|nichts|aucun|aucune|rien|ninguno|ninguna|ningún|nada|nessuno|nessuna|\
    niente|nenhum|nenhuma|geen|niets|ingen|inget|inga|нет|ничего|brak|nicht|pas|sin";

/// The same in scripts without spaces.
pub(super) const DENIALS_WITHIN: [&str; 12] = [
    "无需",
    "無需",
    "无须",
    "不需要",
    "不用",
    "没有",
    "沒有",
    "不要",
    "なし",
    "ありません",
    "必要ない",
    "없",
];

/// English words that few other languages have.
pub(super) const ENGLISH: &str = "the|is|are|and|with|this|that|it|there|has|was|were|looks|matches|should|its|been|not|i'm|be|\
    by|content";

/// The verbs of statements.
pub(super) const STATES: &str =
    "is|are|was|were|has|have|shows|appears|looks|remains|lacks|matches|contains|seems|needs";
