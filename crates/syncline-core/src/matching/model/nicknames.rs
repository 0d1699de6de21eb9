//! Short and pet forms of given names, so that Bill is held for William.

use rustc_hash::FxHashMap;
use std::sync::LazyLock;

/// A name belongs to at most so many groups; the rest are left out.
const GROUPS_MAX: usize = 4;

/// The groups of a name, a number each from 1, in one word of 16 bits each; 0 where there are none.
///
/// `name` is folded: lower case, without diacritics.
pub(super) fn groups(name: &str) -> u64 {
    static BY_NAME: LazyLock<FxHashMap<&'static str, u64>> = LazyLock::new(by_name);
    BY_NAME.get(name).copied().unwrap_or(0)
}

/// Whether two names have a group in common.
pub(super) fn share(a: u64, b: u64) -> bool {
    let words = |groups: u64| (0..GROUPS_MAX).map(move |i| (groups >> (16 * i)) as u16);
    a != 0 && b != 0 && words(a).any(|x| x != 0 && words(b).any(|y| x == y))
}

/// The full name that a short form stands for; `None` where it is none, or could stand for several.
pub(in crate::matching) fn formal(name: &str) -> Option<&'static str> {
    static HEADS: LazyLock<FxHashMap<&'static str, Option<&'static str>>> = LazyLock::new(heads);
    HEADS.get(name).copied().flatten().filter(|head| *head != name)
}

/// The first name of each name's only group.
fn heads() -> FxHashMap<&'static str, Option<&'static str>> {
    let mut found = FxHashMap::default();
    for group in GROUPS.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let head = group.split(' ').next();
        for name in group.split(' ') {
            found.entry(name).and_modify(|known| *known = None).or_insert(head);
        }
    }
    found
}

fn by_name() -> FxHashMap<&'static str, u64> {
    let mut found: FxHashMap<&'static str, u64> = FxHashMap::default();
    for (number, group) in (1_u64..).zip(GROUPS.lines().map(str::trim).filter(|l| !l.is_empty())) {
        for name in group.split(' ') {
            let groups = found.entry(name).or_default();
            let taken = (0..GROUPS_MAX).take_while(|i| *groups >> (16 * i) & 0xffff != 0).count();
            if taken < GROUPS_MAX {
                *groups |= number << (16 * taken);
            }
        }
    }
    found
}

/// A group a line: the full name with its spellings, then its short forms.
const GROUPS: &str = "
aaron ron
abigail abby abbie gail
abraham abe abram bram
adelaide addie
adrian ade
agnes aggie
agnieszka aga
albert al bert bertie albrecht
alessandro sandro ale alex
alexander alexandre aleksander alex al sandy alec lex sasha xander
alexandra alex sandy sasha lexi alexa
alfred alf fred freddie alfie al
alice allie
alison allison ali allie
amanda mandy manda
andrew andrea andreas andre andy drew
angela angie
ann anne anna annie nan nancy anja annika
anthony antonio anton toni tony ant
antonia toni
archibald archie
arnold arnie
arthur art artie
augustus gus august
aleksandra ola
barbara barb babs barbie basia
bartholomew bart
beatrice bea trixie
benedict ben
benjamin ben benny benji
bernard bernie bern
bernadette bernie
bertram bert
beverly bev
bradley brad
brenda bren
bridget biddy bridie
calvin cal
cameron cam
carl karl
carla karla
carol carole carrie
caroline carolyn carrie caro lina
cassandra cass cassie sandra
catherine katherine kathryn cathryn katharina katarina kate katie kathy cathy cat kat kay kit kitty trina
katarzyna kasia
cecilia cissy celia
charles carlos karel charlie chuck chas chaz
charlotte charlie lottie lotte char
chester chet
christian chris
christina christine kristina kristine christiane chris tina chrissy christa tine
christopher christoph kristof chris kit topher
clarence clare
clifford cliff
clinton clint
cornelius neil con
curtis curt
cynthia cindy
daniel dan danny dani
danielle dani
david dave davey davy
deborah debra deb debbie
dennis denny
diana diane di
dirk dieter
dmitri dmitry dimitri dima mitya
dominic nick dom
donald don donny
dorothy dot dottie dolly
douglas doug
edgar ed eddie
edith edie
edmund ed eddie ted ned
edward eduard eduardo ed eddie ted teddy ned
edwin ed eddie
eleanor elinor ella nell nellie nora ellie
elizabeth elisabeth elspeth liz lizzie beth betty bess betsy eliza ella libby lisa lise elsie elisa
emily em emmy
emma em emmy
emanuel manuel manny
ernest ernie ernst
esther essie
eugene gene
evelyn eve evie
ezekiel zeke
felicity fliss
ferdinand ferdy
florence flo flossie
frances francine fran frankie fannie
francesca francisca franziska chicca fran franca franzi
francis francisco frank franz frankie paco pancho
frederick frederic friedrich fred freddy fritz rick
gabriel gabe
gabrielle gabriela gabby
geoffrey jeffrey geoff jeff
george georg jorge
gerald gerard gerry jerry
gertrude gert trudy
gilbert gil
giovanni gianni vanni
giuseppe beppe pino
gordon gordy
gregory greg gregor
guillermo memo
gwendolyn gwen
harold harry hal
harriet hattie
heinrich heinz heiner
helen helena ellen nell nellie lena
henry hank harry hal
herbert herb bert
howard howie
hubert hugh bert
hugo hugh
ignacio nacho
irving irv
isaac ike
isabella isabel isabelle isobel bella izzy bell
jacob jakob jake jacoby
jacqueline jackie jacqui
james jim jimmy jamie jem
jane janie jan
janet jan
janice jan
jason jay jase
jean jeannie
jennifer jen jenny jenn
jeremy jeremiah jerry jem
jerome jerry
jessica jess jessie
joan joanie
joanna joanne jo
joaquin quino
johann johannes hans jan
john johnny jack jon ian
jonathan jonathon jon jonny nathan
jorg joerg
jose pepe
josef joseph joe joey jo sepp
josephine jo josie fina
joshua josh
joyce joy
juan juanito
judith judy judi jude
julia julie jules
julian jules
juliette juliet julie
karen kari
kathleen kath kathy kathie kay
kenneth ken kenny
kimberly kimberley kim
krzysztof krzysiek krzys
lawrence laurence larry laurie lars
leonard len lenny leo leon
leonardo leo
leslie les
lewis louis luis lou louie
lillian lily lil
louise louisa lou lulu
lucas lukas luke
lucille lucy
lukasz luke
luther lou
madeline maddie maddy
malcolm mal
malgorzata gosia
marcus mark marc markus
margaret margareta margarete maggie peggy meg peg madge marge margie rita greta grete daisy maisie
maria marie mary mia mimi mitzi
marilyn mary
marjorie marge margie
martha marty mattie
martin marty
martina tina
mary molly polly mamie
matilda tilly mattie
matthew mathew matthias matt matty
maurice moe mo
maximilian max
melanie mel
melissa mel lissa missy
melvin mel
michael michal mike mick mickey mikey mitch
michelle shelly chelle micki
mildred millie
miriam mimi
mitchell mitch
mohammed muhammad mohamed mohammad mo
montgomery monty
morris mo
natalie natalia natasha nat tasha
nathan nathaniel nat nate
nicholas nicolas nikolaus nick nicky nico klaus
nicole nicola nicky nikki
norman norm
oliver ollie
olivia liv livvy
oscar ossie
pamela pam
patricia pat patty trish tricia patsy
patrick pat paddy rick
paul pauly pablo
pauline paula
penelope penny
peter pete petey
philip phillip phil pip
philippa pippa
prudence prue
rachel rae
ralph ralf rolf
ramona mona
randall randolph randy
raymond ray raymundo
rebecca becky becca bec
reginald reg reggie
richard rick dick rich richie ricky
robert roberto rob bob bobby robbie bert rupert
roberta bobbie
roderick rod rick
rodney rod
roger rog
roland rollo
ronald ron ronnie
rosemary rose rosie
roxanne roxy
rudolf rudolph rudy
russell russ rusty
ruth ruthie
salvatore sal
samantha sam sammy
samuel sam sammy
sandra sandy
sarah sara sally sadie
sebastian seb bastian basti
sergei serge
sharon shari
shirley shirl
sidney sid
simon si
sophia sofia sophie
stanley stan
stephanie stefanie steph stef steffi
steven stephen stefan stephan steve stevie
stuart stu
susan susanne suzanne susanna sue suzie susie suzy
svetlana sveta lana
sylvester sly
tabitha tabby
tamara tammy
terence terrence terry
theodore theodor ted teddy theo
theresa teresa terry terri tess tessa tracy resi
thomas tomas tom tommy
timothy tim timmy
tobias toby
ulrich uli
ulrike uli ulla
ursula uschi ulla
valentina val tina
valerie val
vanessa nessa
vera nika
veronica ronnie roni
victor vic
victoria vicky vicki tori vic
vincent vince vinny
virginia ginny ginger
vivian viv
vladimir vlad vova
wallace wally
walter walt wally wally
wenzel wenz
wilfred wilf fred
wilhelm willi willy wim helmut
wilhelmina mina minnie
william bill will billy willy willie liam wm
willem wim pim
winifred winnie
winston win
wolfgang wolf
yvonne vonnie
zachary zachariah zach zack zac
zbigniew zbyszek
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_share_a_group_with_their_names() {
        for (a, b, expected) in [
            ("william", "bill", true),
            ("sam", "samantha", true),
            ("sam", "samuel", true),
            ("samuel", "samantha", false),
            ("bob", "robert", true),
            ("bob", "william", false),
            ("xyz", "xyz", false),
        ] {
            assert_eq!(share(groups(a), groups(b)), expected, "{a} {b}");
        }
    }
}
