use std::sync::Arc;
use syncline_core::{config, plan::program::Program};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let text = std::fs::read_to_string(&a[1]).unwrap();
    let input = a[2].clone();
    let loaded = config::load(vec![config::SourceFile{name:"x".into(), text}], &|_| Ok(input.clone()), &["file"]).map_err(|d| println!("{d}")).unwrap();
    let program = Program::compile(&loaded.config).map_err(|p| println!("{}", loaded.diagnose(p))).ok().unwrap();
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    rt.block_on(async {
        let store = Arc::new(syncline_store::sqlite::SqliteStore::open(std::path::Path::new(&a[3]), Default::default()).unwrap());
        let world = Arc::new(syncline_engine::World::open(loaded.config, program, std::path::Path::new("."), store).await.unwrap());
        let t = std::time::Instant::now();
        let r = syncline_engine::execute(&world, "contacts", &syncline_engine::SystemClock, syncline_engine::Options{worker: syncline_store::execution::Worker::current(), ..Default::default()}).await.unwrap();
        println!("{r:#?} {:?}", t.elapsed());
    });
}
